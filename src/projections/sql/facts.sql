-- The range, read once for whichever views are written from it: every fact but the requests, each
-- beside the request that it follows from, and the requests that nothing follows yet.
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
), paired AS (
    SELECT other.position, coalesce(other.account_id, request.account_id) AS account_id,
           other.topic, other.at, other.fact_id, other.settled, other.data,
           generation_id, request.position AS asked_position, request.at AS asked_at,
           request.data AS asked,
           -- Asked for before the range: one look-up by the request's id each.
           CASE WHEN request.position IS NULL AND generation_id IS NOT NULL THEN (
               SELECT earlier FROM ledger_facts AS earlier
               WHERE earlier.fact_id = generation_id)
           END AS earlier
    FROM (SELECT * FROM fact WHERE topic <> 'generation_requested:1') AS other
    FULL JOIN (SELECT * FROM fact WHERE topic = 'generation_requested:1') AS request
        USING (generation_id)
    OFFSET 0
), told AS MATERIALIZED (
    SELECT position, account_id, topic, at, fact_id, settled, data, generation_id,
           asked_position IS NOT NULL AS is_asked_here,
           coalesce(asked_position, (earlier).position) AS asked_position,
           coalesce(asked_at, (earlier).at) AS asked_at,
           coalesce(asked, (earlier).data) AS asked
    FROM paired
)
