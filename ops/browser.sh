#!/bin/sh
# Debian's Chromium and a font with Chinese, which the pages' tests need; nothing where both are there.
set -eu

missing=
[ -x /usr/bin/chromium ] || missing="chromium"
fc-list :lang=zh-cn 2>/dev/null | grep -q . || missing="$missing fonts-noto-cjk"
[ -n "$missing" ] || exit 0

install() { # with what it takes to be root
    # shellcheck disable=SC2086 # two packages, two words
    "$@" apt-get -o DPkg::Lock::Timeout=120 update -qq &&
        "$@" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends fontconfig $missing
}

echo "browser: installing $missing" >&2
if [ "$(id -u)" = 0 ]; then
    install env >&2 && exit 0
elif sudo -n true 2>/dev/null; then
    install sudo -n >&2 && exit 0
fi
echo "browser: the pages' tests need Chromium and a Chinese font; as root: apt-get install chromium fonts-noto-cjk" >&2
exit 1
