// The browser's time zone, kept in a cookie, so that the server tells times as its reader's clock.
const NAME = "mintage_zone";
const SECONDS = 365 * 86400;

// A page that tells times by another zone is loaded again, once.
export function keepZone() {
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const kept = () => document.cookie.split("; ").includes(`${NAME}=${zone}`);
  if (kept()) return;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${NAME}=${zone}; path=/; max-age=${SECONDS}; samesite=lax${secure}`;
  if (kept() && document.querySelector("time")) location.reload();
}
