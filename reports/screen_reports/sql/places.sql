-- Where some rows stand in their files, a line a sample.
-- {rows}: row numbers
SELECT "row", variant, id, file, line, sha256
FROM scores
WHERE "row" IN ({rows})
