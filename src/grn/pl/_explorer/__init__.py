"""A network as one page for the browser: what it holds, and how it is put together."""
