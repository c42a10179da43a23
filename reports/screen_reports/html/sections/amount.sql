-- Every trait by group and by file: samples, those with a score, flagged, mean; only the {most} places of each kind in
-- which most samples are flagged for any trait (then the largest), and how many places there are. {long}: View.parts
WITH cells AS (
    SELECT CASE WHEN grouping("group") = 0 THEN 'group' ELSE 'file' END AS kind,
        CASE WHEN grouping("group") = 0 THEN "group" ELSE file END AS place, trait,
        count(*) AS samples, count(score) FILTER (NOT isnan(score)) AS scored,
        count(*) FILTER (flagged) AS flagged, (avg(score) FILTER (NOT isnan(score)))::DOUBLE AS mean
    FROM {long}
    GROUP BY GROUPING SETS (("group", trait), (file, trait))
),
ranked AS (
    SELECT kind, place, row_number() OVER (
        PARTITION BY kind ORDER BY max(flagged) DESC, max(samples) DESC, place
    ) AS "rank", count(*) OVER (PARTITION BY kind) AS places
    FROM cells
    GROUP BY kind, place
)
SELECT c.*, r."rank", r.places
FROM cells c
JOIN ranked r ON c.kind = r.kind AND c.place IS NOT DISTINCT FROM r.place
WHERE r."rank" <= {most}
