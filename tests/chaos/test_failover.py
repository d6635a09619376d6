"""Graft on a Redis behind sentinels, with the users of deploy/redis/users.acl: what a failover costs and loses."""
