-- The first rows that could not be scored, and why.
-- {limit}
SELECT "row", file, line, sha256, code, message
FROM skipped
ORDER BY "row"
LIMIT {limit}
