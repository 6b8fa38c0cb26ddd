"""DataJoint's colours of tiers and lines, light and dark, as its ``Diagram`` has them since 2.3.2."""

from __future__ import annotations

#: Fill, outline and text of each tier, in light.
LIGHT = {
    "Manual": ("#E8F0E9", "#3E7A52", "#28513A"),
    "Lookup": ("#F0F0F1", "#808285", "#5A5C5F"),
    "Imported": ("#E0F4FC", "#00A0DF", "#00537A"),
    "Computed": ("#FFEDE5", "#FF5113", "#B23200"),
    "Part": ("#FFFFFF", "#B9BBBE", "#55585C"),
    "Schema": ("#EDEEF0", "#808890", "#404040"),
}

#: The same in dark.
DARK = {
    "Manual": ("#16281F", "#6BBF94", "#BCE6CF"),
    "Lookup": ("#242832", "#9DA0A4", "#C9CFD9"),
    "Imported": ("#0F2433", "#33B8E8", "#BEE7F9"),
    "Computed": ("#331B12", "#FF7A47", "#FFC7AE"),
    "Part": ("#1E232C", "#8F959D", "#C8CED8"),
    "Schema": ("#242730", "#8890A0", "#C7CDD6"),
}

#: Background, shade behind a master and its parts, lines, lines of renamed attributes: light, and dark.
GROUND = (("#FFFFFF", "#F3F5F8", "#171C39", "#C77D3A"), ("#161A21", "#2A313D", "#AEB6C2", "#D68C4A"))
