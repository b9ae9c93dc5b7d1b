"""Every form of a result: text, JSON, JUnit, Markdown, HTML."""
