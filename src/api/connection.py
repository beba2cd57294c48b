"""A connection to the database, as those who ask it are given one."""

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
