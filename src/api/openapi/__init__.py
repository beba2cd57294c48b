"""The OpenAPI document, and what handlers tell it of themselves."""
