-- Samples that have both an exact score and an estimate: of each trait {most} that hashes choose. {both}: of the traits
SELECT trait, "row", exact, estimate
FROM (
    SELECT *, row_number() OVER (PARTITION BY trait ORDER BY hash("row"), "row") AS place
    FROM ({both})
    WHERE isfinite(exact) AND isfinite(estimate)
)
WHERE place <= {most}
