"""One account's rows of a view against those that it should have."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from projections.verify.finding import Finding, Kind
from projections.verify.rows import LAYOUTS, Layout, named, values

VALUE_CHARACTERS_MAX = 80
"""As much of a value is shown."""

_Row = dict[str, str | None]
_Key = tuple[str | None, ...]


def compare(view: str, expected: Sequence[str], found: Sequence[bytes]) -> Iterable[Finding]:
    """What is wrong with `found`; nothing where the lines are the same ones, in whatever order."""
    return () if "".join(expected).encode() == b"".join(found) else _compare(view, expected, found)


def _compare(view: str, expected: Sequence[str], found: Sequence[bytes]) -> Iterator[Finding]:
    layout = LAYOUTS[view]
    too_few, too_many = Counter(line.encode() for line in expected), Counter(found)
    both = too_few & too_many
    lacking = [named(layout, line) for line in (too_few - both).elements()]
    surplus = [named(layout, line) for line in (too_many - both).elements()]
    right = {values(named(layout, line), layout.key) for line in both}
    for names in (layout.key, layout.place):
        pairs, lacking, surplus = _pair(names, lacking, surplus)
        for should, row in pairs:
            yield _differing(view, layout, should, row)
            right.add(values(row, layout.key))
    known = right | {values(row, layout.key) for row in lacking}
    for row in surplus:
        key = values(row, layout.key)
        yield _finding(view, layout, "row_duplicated" if key in known else "row_unexpected", row)
        known.add(key)
    for row in lacking:
        yield _finding(view, layout, "row_missing", row)


def stray(view: str, found: Iterable[bytes]) -> Iterator[Finding]:
    """Rows of an account that the log does not know."""
    for line in found:
        yield _finding(view, LAYOUTS[view], "account_unknown", named(LAYOUTS[view], line))


def _pair(
    names: Sequence[str], lacking: Sequence[_Row], surplus: Sequence[_Row]
) -> tuple[list[tuple[_Row, _Row]], list[_Row], list[_Row]]:
    """Rows that have the same `names`, then what is left on either side."""
    waiting: defaultdict[_Key, list[_Row]] = defaultdict(list)
    for row in reversed(lacking):
        waiting[values(row, names)].append(row)
    pairs, left = [], []
    for row in surplus:
        rows = waiting[values(row, names)]
        if rows:
            pairs.append((rows.pop(), row))
        else:
            left.append(row)
    paired = {id(should) for should, _ in pairs}
    return pairs, [row for row in lacking if id(row) not in paired], left


def _differing(view: str, layout: Layout, expected: _Row, found: _Row) -> Finding:
    differences = [
        f"{name}: expected {_shown(expected[name])}, found {_shown(found[name])}"
        for name in layout.columns
        if expected[name] != found[name]
    ]
    return Finding(
        kind="row_differs",
        view=view,
        account_id=expected["account_id"],
        position=_position(expected),
        detail="; ".join(differences),
    )


_WORDS: dict[Kind, str] = {
    "row_missing": "{} is missing",
    "row_unexpected": "{} has nothing in the log to be made from",
    "row_duplicated": "{} is there more than once",
    "account_unknown": "{} is of an account that the log does not know",
}


def _finding(view: str, layout: Layout, kind: Kind, row: _Row) -> Finding:
    key = ", ".join(f"{name} {_shown(row[name])}" for name in layout.key)
    return Finding(
        kind=kind,
        view=view,
        account_id=row["account_id"],
        position=_position(row),
        detail=_WORDS[kind].format(f"the row with {key}"),
    )


def _position(row: _Row) -> int | None:
    position = row["position"]
    return None if position is None else int(position)


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= VALUE_CHARACTERS_MAX else f"{value[:VALUE_CHARACTERS_MAX]}…"
