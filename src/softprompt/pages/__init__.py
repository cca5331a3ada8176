"""Pages that need no network: one shell, and pictures as plain SVG in the colours of the page that they stand on."""
