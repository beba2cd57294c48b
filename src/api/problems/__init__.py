"""What is refused, and the problem document (RFC 9457) that each error becomes."""
