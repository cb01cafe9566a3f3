"""What the yard's processes count: declared once, read at a scrape, served where a setting says so."""
