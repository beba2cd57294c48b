-- The range, read once for whichever views are written from it: each request, and each other fact
-- beside the request that it follows from.
fact AS MATERIALIZED (
    SELECT position, account_id, topic, at, fact_id, settled, data,
           CASE
               WHEN topic = 'generation_requested:1' THEN fact_id
               WHEN topic IN ('tokens_consumed:1', 'generation_failed:1', 'tokens_granted:1')
                   THEN (data ->> 'generation_id')::uuid
           END AS generation_id
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
), unknown AS (
    SELECT min(position) AS position FROM fact WHERE topic <> ALL (%(topics)s)
), earlier AS (
    -- Asked for before the range: one look-up by the request's id each.
    SELECT (SELECT request FROM ledger_facts AS request
            WHERE request.fact_id = missing.generation_id) AS request
    FROM (SELECT DISTINCT generation_id FROM fact
          WHERE topic <> 'generation_requested:1' AND generation_id IS NOT NULL
              AND generation_id NOT IN (
                  SELECT fact_id FROM fact WHERE topic = 'generation_requested:1')) AS missing
), request AS MATERIALIZED (
    SELECT id, account_id, position, at, is_earlier, data -> 'prompt' ->> 'id' AS prompt_id,
           (data -> 'prompt' ->> 'version')::integer AS prompt_version,
           data -> 'prompt' ->> 'title' AS title, (data ->> 'count')::integer AS count,
           data ->> 'aspect_ratio' AS aspect_ratio, (data ->> 'cost')::bigint AS cost,
           data -> 'reference' AS reference
    FROM (SELECT fact_id AS id, account_id, position, at, data, false AS is_earlier
          FROM fact WHERE topic = 'generation_requested:1'
          UNION ALL
          SELECT (request).fact_id, (request).account_id, (request).position, (request).at,
                 (request).data, true
          FROM earlier) AS asked
), told AS MATERIALIZED (
    SELECT fact.*, request.is_earlier IS NOT FALSE AS is_of_earlier,
           request.position AS asked_position, request.at AS asked_at, prompt_id, prompt_version,
           title, count, aspect_ratio, cost, reference
    FROM fact LEFT JOIN request ON request.id = fact.generation_id
    WHERE topic <> 'generation_requested:1'
)
