"""The load generator: requests, their record, and pictures of both."""
