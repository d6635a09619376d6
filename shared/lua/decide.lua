-- Decide an occurrence without a job: it waits, is skipped, or has failed.
--
-- KEYS, ARGV  those of an occurrence (see _occurrences.lua)
-- Returns 1, or 0 if it is not this caller's to decide any more
local occurrence = occurrence_at(1, 1)
if not is_undecided(occurrence) then return 0 end
decide(occurrence)
return 1
