"""Three looks: dark, light, the terminal's own sixteen colours. `$chosen` is the ground of what the cursor is on."""

from __future__ import annotations

from textual.theme import Theme

THEMES = (
    Theme(
        name="detui-dark", dark=True, primary="#5fafff", secondary="#87afaf", warning="#ffd75f", error="#ff8787",
        success="#87d787", accent="#5fafff", foreground="#e4e4e4", background="#121212", surface="#1c1c1c",
        panel="#262626", variables={"chosen": "#4e4e4e"},
    ),
    Theme(
        name="detui-light", dark=False, primary="#005faf", secondary="#5f8787", warning="#875f00", error="#af0000",
        success="#005f00", accent="#005faf", foreground="#1c1c1c", background="#ffffff", surface="#eeeeee",
        panel="#e4e4e4", variables={"chosen": "#d0d0d0"},
    ),
    Theme(
        name="detui-terminal", dark=True, primary="ansi_bright_cyan", secondary="ansi_cyan",
        warning="ansi_bright_yellow", error="ansi_bright_red", success="ansi_bright_green", accent="ansi_bright_cyan",
        foreground="ansi_default", background="ansi_default", surface="ansi_default", panel="ansi_default",
        variables={"chosen": "ansi_bright_black"},
    ),
)  # fmt: skip
