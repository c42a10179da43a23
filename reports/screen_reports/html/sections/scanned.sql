-- Rows that could not be scored: of each code (docs/codes.md has them all) how many, and the first {examples}.
SELECT *
FROM (
    SELECT code, stage, "row", file, line, message[:500] AS message, head[:{head}] AS head,
        count(*) OVER (PARTITION BY code) AS many, row_number() OVER (PARTITION BY code ORDER BY "row") AS place
    FROM skipped
)
WHERE place <= {examples}
