"""The lanes as lines that fit a terminal: one for each machine and service."""

from collections.abc import Iterable, Sequence

from rich.text import Text

from mcloud.cli.lanes import Row

STYLES = {"failed": "bold red", "running": "", "waiting": "dim", "idle": "dim", "done": "green"}
URGENCY = ("failed", "running", "waiting", "idle", "done")
"""Which lanes are shown first where there is no room for all."""
LONGEST_NAME = 16


def lane_lines(rows: Sequence[Row], *, headline: str, width: int, height: int) -> list[Text]:
    """Return the headline and the lanes, cut to the terminal; what is left out is counted."""
    room = max(1, height - 2)
    shown = list(rows)
    if len(rows) > room:
        urgent = sorted(range(len(rows)), key=lambda place: (URGENCY.index(rows[place].state), place))
        shown = [rows[place] for place in sorted(urgent[: room - 1])]
    names, services = _width(row.machine for row in shown), _width(row.service for row in shown)
    lines = [Text(headline, style="bold"), *(_line(row, names=names, services=services) for row in shown)]
    if len(shown) < len(rows):
        lines.append(Text(f"... and {len(rows) - len(shown)} more", style="dim"))
    for line in lines:
        # The last column stays free: some terminals wrap a line that fills it.
        line.truncate(max(1, width - 1), overflow="ellipsis")
    return lines


def _line(row: Row, *, names: int, services: int) -> Text:
    count = f"{row.done}/{row.total}" if row.total is not None else str(row.done)
    seconds = f"{row.seconds:.1f} s" if row.seconds else ""
    said = {"failed": f"FAILED {row.text}", "done": "done"}.get(row.state, row.text)
    where = f"{row.machine[:names]:{names}}  {row.service[:services]:{services}}"
    return Text(f"  {where}  {count:>5}  {seconds:>7}  {said}".rstrip(), style=STYLES[row.state])


def _width(names: Iterable[str]) -> int:
    return min(LONGEST_NAME, max(map(len, names), default=1))
