"""HTTP itself: who calls, bodies in and documents out, cursors, headers, bounds."""
