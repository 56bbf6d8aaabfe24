"""What streams cost: Threadkeep beside a bare proxy, in front of one paced upstream."""
