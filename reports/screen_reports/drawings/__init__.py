"""Pictures of a run as SVG, from plain numbers: pure functions, no plotting library, no files.

Every function gives one `<svg role="img">` with its figures in words, as wide as it is let be. Colours are the custom
properties --drawing-run and --drawing-clean, with values that are seen on white and on black where a page sets none;
everything else has the colour of the text around. No style attribute, no id, no script.
"""
