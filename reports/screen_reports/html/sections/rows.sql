-- The chosen rows: each sample with its facts and the {turns} turns in which each trait stands out most. Texts of more
-- than {whole} characters come as cuts: their beginning, and what lies around each trait's highest window.
-- {scores}, {places}, {spans}, {cuts}: of the traits' columns; {lifts}, {lift}: of the second detector, where it was run
WITH told AS (
    SELECT "row", variant, turn, least({places}) AS place, count(*) OVER (PARTITION BY "row", variant) AS turns,
        answer_tokens, base_refused,
        length(prompt) AS prompt_length, substring(prompt, 1, {whole}) AS prompt,
        length(base_answer) AS base_length, substring(base_answer, 1, {whole}) AS base_answer,
        length("text") AS text_length,
        CASE WHEN length("text") <= {whole} THEN [{'at': 0::BIGINT, 'text': "text"}] ELSE [{cuts}] END AS cuts,
        [{spans}] AS spans
    FROM turns
    WHERE "row" IN ({rows})
),
gathered AS (
    SELECT "row", variant, list(told) AS turns FROM told WHERE place <= {turns} GROUP BY "row", variant
)
SELECT s."row", s.id, s.variant, s.sign, s.file, s.line, s."group", s.answer_tokens, s.truncated, s.tokens_lost,
    s.special_text, s.other_parts, s.base_refused, s.baseline_cut, [{scores}] AS scores, {lifts} AS lifts, g.turns
FROM scores s
LEFT JOIN gathered g ON s."row" = g."row" AND s.variant IS NOT DISTINCT FROM g.variant
{lift}
WHERE s."row" IN ({rows})
