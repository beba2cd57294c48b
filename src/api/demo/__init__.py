"""The whole flow, played once over real HTTP for a person to watch."""
