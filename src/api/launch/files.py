"""How many files a process may have open: each connection is one, and the usual limit is 1,024."""

import resource

FILES_MAX = 65_536


def allow_files() -> None:
    """Raise the limit as far as we may and need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
