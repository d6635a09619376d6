-- Put a schedule at its place in the index of when to look at which, or take one from it that is gone.
--
-- KEYS  1 schedule  2 its occurrences that wait  3 the index
-- ARGV  1 member  2 when to look again while occurrences wait (ms)
look_again(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
