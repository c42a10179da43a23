-- The samples of a run by one score, and where each lies in the run (share of samples with a lower score).
-- {score}: a column of {view}, scores or samples; {known}: when it has a value; {order}: DESC or ASC; {over}: when a sample is flagged; {kept}: which are listed; {limit}
SELECT *, {over} AS flagged
FROM (
    SELECT "row", id, variant, sign, answer_tokens, base_refused, {score} AS score,
        (rank() OVER (ORDER BY {score}) - 1) / count(*) OVER () AS place
    FROM {view}
    WHERE {score} IS NOT NULL AND {known}
)
WHERE {kept}
ORDER BY score {order}, "row", variant
LIMIT {limit}
