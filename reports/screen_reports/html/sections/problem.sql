-- What each trait has, in all rows of the run so far.
SELECT trait, count(score) AS scored, count(*) FILTER (flagged) AS flagged, avg(score)::DOUBLE AS mean
FROM {long}
WHERE score IS NOT NULL AND NOT isnan(score)
GROUP BY trait
