"""Starting the roles of the service as processes, and stopping them again."""
