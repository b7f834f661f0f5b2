"""Delivery of alerts to webhooks, Slack and email. README.md of the package says what it promises."""
