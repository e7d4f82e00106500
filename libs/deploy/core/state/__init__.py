"""What is recorded and what is observed: releases, edges, holds, ledgers, hosts."""
