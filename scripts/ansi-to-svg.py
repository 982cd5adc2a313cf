#!/usr/bin/env python3
"""Converts the output of `tmux capture-pane -e -p` to an SVG: ansi-to-svg.py TITLE <TEXT >PICTURE

Needs only Python. Each word has a fixed position and length, so that columns stay aligned in any
font. Wide characters are not supported.
"""

import html
import re
import sys

FONT, CELL_W, CELL_H, PAD, BAR = 14, 8.4, 18, 12, 28
GROUND, INK = "#16181d", "#d5d8de"
BASE = ["#16181d", "#e5616c", "#8cc570", "#e6c07a", "#62a8ea", "#c678dd", "#57b6c2", "#c8ccd4",
        "#7f8691", "#f0838c", "#a6da8b", "#f3d499", "#85bff3", "#d79ae6", "#7fd0da", "#ffffff"]


def colour(n):
    """A colour of the 256."""
    if n < 16:
        return BASE[n]
    if n < 232:
        n -= 16
        parts = [0 if p == 0 else 55 + 40 * p for p in (n // 36, n // 6 % 6, n % 6)]
    else:
        parts = [8 + 10 * (n - 232)] * 3
    return "#%02x%02x%02x" % tuple(parts)


def styled(style, codes):
    """A style after an SGR sequence."""
    style = dict(style)
    codes = [int(c or 0) for c in re.split("[;:]", codes)] if codes else [0]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code in (1, 2, 4, 7):
            style[{1: "bold", 2: "dim", 4: "line", 7: "swap"}[code]] = True
        elif code in (22, 24, 27):
            for name in {22: ("bold", "dim"), 24: ("line",), 27: ("swap",)}[code]:
                style.pop(name, None)
        elif code in (38, 48) and codes:
            kind = codes.pop(0)
            value = colour(codes.pop(0)) if kind == 5 else "#%02x%02x%02x" % tuple(codes[:3])
            if kind == 2:
                del codes[:3]
            style["fg" if code == 38 else "bg"] = value
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style["fg"] = colour(code % 10 + (8 if code >= 90 else 0))
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style["bg"] = colour(code % 10 + (8 if code >= 100 else 0))
        elif code in (39, 49):
            style.pop("fg" if code == 39 else "bg", None)
    return style


def runs(line, style):
    """A line as (text, style), and the style at its end."""
    out, at = [], 0
    for found in re.finditer("\x1b\\[([0-9;:]*)m|[\x0e\x0f]", line):
        out.append((line[at:found.start()], style))
        style = styled(style, found.group(1)) if found.group(1) is not None else style
        at = found.end()
    out.append((line[at:], style))
    return [(text, style) for text, style in out if text], style


def draw(lines, title):
    style, rows, width = {}, [], 40
    for line in lines:
        row, style = runs(line, style)
        rows.append(row)
        width = max(width, sum(len(text) for text, _ in row))
    w, h = width * CELL_W + 2 * PAD, len(rows) * CELL_H + BAR + 2 * PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}">',
           f"<title>{html.escape(title)}</title>",
           f'<rect width="{w:.0f}" height="{h:.0f}" rx="8" fill="{GROUND}"/>',
           f'<text x="{w / 2:.0f}" y="19" text-anchor="middle" font-family="sans-serif" font-size="13" '
           f'fill="#7f8691">{html.escape(title)}</text>',
           f'<g font-family="monospace" font-size="{FONT}">']
    for y, row in enumerate(rows):
        x = 0
        for text, style in row:
            fg, bg = style.get("fg", INK), style.get("bg")
            if style.get("swap"):
                fg, bg = bg or GROUND, fg
            left, top, length = PAD + x * CELL_W, BAR + PAD + y * CELL_H, len(text) * CELL_W
            if bg:
                out.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{length:.1f}" height="{CELL_H}" fill="{bg}"/>')
            more = ' font-weight="bold"' if style.get("bold") else ""
            more += ' opacity="0.6"' if style.get("dim") else ""
            more += ' text-decoration="underline"' if style.get("line") else ""
            for word in re.finditer(r"\S+", text):
                at, length = left + word.start() * CELL_W, len(word.group()) * CELL_W
                out.append(f'<text x="{at:.1f}" y="{top + CELL_H - 5:.1f}" textLength="{length:.1f}" '
                           f'lengthAdjust="spacingAndGlyphs" fill="{fg}"{more}>{html.escape(word.group())}</text>')
            x += len(text)
    return "\n".join(out + ["</g>", "</svg>", ""])


def main():
    lines = sys.stdin.buffer.read().decode(errors="replace").rstrip("\n").split("\n")
    # A page that is printed ends with blank lines, which are dropped.
    while lines and not re.sub("\x1b\\[[0-9;:]*m", "", lines[-1]).strip():
        lines.pop()
    sys.stdout.write(draw(lines, sys.argv[1]))


if __name__ == "__main__":
    main()
