"""The tables and plots of docs/benchmarks.md. What is run is in the script `benchmarks`.

The text of the page is written by hand. Each benchmark owns the lines between two comments with its name, and a block
`machine` says where it was measured."""

import html
import math
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
PLOTS = DOCS / "benchmarks"


def shown(value):
    """Three significant digits, or all digits before the point."""
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{places}f}"


def measured(line):
    """A figure as `2.04 (34.4 µs)`, and whether it reaches its target."""
    value = f"{shown(line['value'])} {line['unit']}".strip() if line["value"] is not None else ""
    ratio = shown(line["ratio"]) if line["ratio"] is not None else ""
    first, second = (ratio, value) if line["of"] == "ratio" else (value, ratio and f"ratio {ratio}")
    if line["bound"] == "-" and ratio:
        first, second = value, f"ratio {ratio}"
    text = f"{first} ({second})" if second else first
    return {"SHORT": f"{text} **SHORT**", "ok": f"{text} ok"}.get(line["verdict"], text)


def table(lines):
    """The rows of a table: a figure, its target, and what was measured on one processor and on two."""
    names = list(dict.fromkeys(line["name"] for line in lines))
    counts = sorted({line["cpus"] for line in lines})
    heads = [f"{count} processor{'s' if count > 1 else ''}" for count in counts]
    rows = [["", "target", *heads], ["---"] * (2 + len(counts))]
    for name in names:
        of = {line["cpus"]: line for line in lines if line["name"] == name}
        sign = {"<=": "≤ ", ">=": "≥ ", "-": ""}
        targets = [sign[line["bound"]] + (f"{line['target']:g}" if line["bound"] != "-" else "") for line in of.values()]
        cells = [measured(of[count]) if count in of else "" for count in counts]
        rows.append([name, ", ".join(dict.fromkeys(filter(None, targets))), *cells])
    return rows


def as_text(lines):
    """The figures of all benchmarks for a terminal."""
    text = []
    for bench in dict.fromkeys(line["bench"] for line in lines):
        rows = table([line for line in lines if line["bench"] == bench and "name" in line])
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        text.append(f"\n{bench}")
        text += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                 for at, row in enumerate(rows) if at != 1]
    return "\n".join(text)


def markdown(rows):
    return "".join("| " + " | ".join(row) + " |\n" for row in rows).replace("| --- ", "|---").replace("|--- |", "|---|")


def write(data):
    """Writes the blocks of the page, and the plots."""
    page = PAGE.read_text()
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    page = replace(page, "machine", machine(data["machine"], data["lines"]))
    for bench in dict.fromkeys(line["bench"] for line in data["lines"]):
        lines = [line for line in data["lines"] if line["bench"] == bench]
        block = markdown(table([line for line in lines if "name" in line]))
        points = [line for line in lines if "plot" in line]
        for name in dict.fromkeys(point["plot"] for point in points):
            file = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") + ".svg"
            (PLOTS / file).write_text(plot(name, [point for point in points if point["plot"] == name]))
            block += f"\n![{name}](benchmarks/{file})\n"
        page = replace(page, bench, block)
    PAGE.write_text(page)


def replace(page, name, block):
    begin, end = f"<!-- begin {name}: written by scripts/benchmarks --write -->\n", f"<!-- end {name} -->\n"
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"{PAGE} needs these two lines once, for the table of {name}:\n{begin}{end}")
    before, rest = page.split(begin)
    return before + begin + block + end + rest.split(end)[1]


def machine(facts, lines):
    busy = any(line["realtime"] for line in lines)
    how = "`scripts/benchmarks --write --realtime`, beside other work" if busy else "`scripts/benchmarks --write`"
    return (f"{facts['processor']}, {facts['processors']} processors, {facts['system']}, Rust {facts['rust']}. "
            f"Measured with {how}.\n")


# Readable on a light page and on a dark one.
INK = "#808080"
COLOURS = ["#3b82c4", "#d9822b", "#2f9e6e", "#b05fb0", "#a08a2e"]
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 340, 74, 44, 52
LEGEND = 20


class Axis:
    """From values to places. Numbers that grow a thousandfold have a logarithmic axis; 0 is then its first place."""

    def __init__(self, values, begin, end):
        positive = [value for value in values if value > 0] or [1]
        self.logarithmic = max(positive) / min(positive) >= 100
        self.begin, self.end = begin, end
        self.least, self.most = min(positive), max(positive)
        self.has_zero = min(values) <= 0

    def place(self, value):
        if not self.logarithmic:
            return self.begin + (self.end - self.begin) * value / (self.most * 1.04)
        low, high = math.log10(self.least), math.log10(self.most)
        low -= (high - low) * (0.1 if self.has_zero else 0.02)
        at = low if value <= 0 else math.log10(value)
        return self.begin + (self.end - self.begin) * (at - low) / ((high - low) * 1.04)

    def ticks(self):
        """Round numbers."""
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.least)), math.floor(math.log10(self.most)) + 1)
            return [10.0**power for power in powers]
        step = 10 ** math.floor(math.log10(self.most / 2))
        step *= next(times for times in (1, 2, 5, 10) if self.most / (step * times) <= 6)
        return [step * at for at in range(int(self.most / step) + 1)]


def number(value):
    for size, letter in ((2**20, " MiB"), (2**10, " KiB")):
        if value >= size and value % size == 0:
            return f"{value / size:g}{letter}"
    return f"{value:,.6g}".replace(",", " ")


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {extra}>{html.escape(words)}</text>'


def plot(title, points):
    """A plot as SVG: a colour for each series, dashes for two processors."""
    series = list(dict.fromkeys((point["series"], point["cpus"]) for point in points))
    names = list(dict.fromkeys(name for name, _ in series))
    height = HEIGHT + LEGEND * (len(series) + 1)
    bottom = HEIGHT - BOTTOM
    across = Axis([point["at"] for point in points], LEFT, WIDTH - 20)
    up = Axis([point["value"] for point in points], bottom, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           f'font-family="sans-serif" font-size="13" fill="{INK}">',
           text(WIDTH / 2, 20, title[0].upper() + title[1:], extra='font-size="15"')]
    for tick in up.ticks():
        y = up.place(tick)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 20}" y2="{y:.1f}" stroke="{INK}" stroke-opacity="0.3"/>')
        out.append(text(LEFT - 8, y + 4, number(tick), "end"))
    last = -100
    for at in sorted({point["at"] for point in points}):
        x = across.place(at)
        out.append(f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}" stroke="{INK}"/>')
        if x - last > 9 * len(number(at)) + 6:
            out.append(text(x, bottom + 20, number(at)))
            last = x
    out.append(f'<path d="M{LEFT},{TOP - 6} V{bottom} H{WIDTH - 20}" fill="none" stroke="{INK}"/>')
    out.append(text((LEFT + WIDTH) / 2, bottom + 42, points[0]["axis"]))
    unit = points[0]["unit"]
    out.append(text(0, 0, unit, extra=f'transform="translate(18,{(TOP + bottom) / 2:.0f}) rotate(-90)"'))
    for at, (name, cpus) in enumerate(series):
        colour, dashes = COLOURS[names.index(name) % len(COLOURS)], "" if cpus == 1 else ' stroke-dasharray="6 4"'
        of = sorted((p["at"], p["value"]) for p in points if (p["series"], p["cpus"]) == (name, cpus))
        places = [(across.place(x), up.place(y)) for x, y in of]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = HEIGHT + 10 + LEGEND * at
        out.append(f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + 34}" y2="{y}" stroke="{colour}" stroke-width="2"{dashes}/>')
        plural = "s" if cpus > 1 else ""
        out.append(text(LEFT + 44, y + 4, f"{name}, {cpus} processor{plural}", "start"))
    return "\n".join([*out, "</svg>", ""])
