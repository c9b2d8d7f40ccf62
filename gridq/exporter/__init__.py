"""What Prometheus sees: a stateless look at the store for each scrape.

metrics (the table of all families) · collector (store → families) · server (HTTP, TLS, basic auth)
"""
