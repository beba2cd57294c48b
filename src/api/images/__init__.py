"""What came of generations: listed, marked, fetched by link."""
