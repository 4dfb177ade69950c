"""A small stand-in for Stripe: one engine, in process for tests, over loopback HTTP for demo and browsers.

Never for production; `http.serve` refuses to start there.
"""
