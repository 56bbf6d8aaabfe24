"""`make bench-postgres`: Threadkeep on PostgreSQL beside the same server asked by pgbench, in one table."""
