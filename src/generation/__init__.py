"""The generate flow: claim, provider, storage, settle or release."""
