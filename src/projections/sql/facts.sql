-- The range, read once for whichever views are written from it: of each fact what they keep.
fact AS MATERIALIZED (
    SELECT position, account_id, topic, settled,
           CASE topic
               WHEN 'generation_requested:1' THEN fact_id
               WHEN 'tokens_consumed:1' THEN (data ->> 'generation_id')::uuid
               WHEN 'generation_failed:1' THEN (data ->> 'generation_id')::uuid
           END AS generation_id,
           CASE topic
               WHEN 'tokens_consumed:1' THEN -(data ->> 'cost')::bigint
               WHEN 'tokens_granted:1' THEN (data ->> 'amount')::bigint
               WHEN 'tokens_revoked:1' THEN -(data ->> 'amount')::bigint
           END AS amount,
           CASE topic
               WHEN 'generation_failed:1' THEN data ->> 'reason'
               WHEN 'tokens_granted:1' THEN data ->> 'reason'
               WHEN 'generation_requested:1' THEN data #>> '{{prompt,title}}'
           END AS word,
           CASE topic WHEN 'tokens_consumed:1' THEN jsonb_path_query_array(data, '$.images[*].id') END AS images
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
), unknown AS (
    SELECT min(position) AS position FROM fact WHERE topic <> ALL (%(topics)s)
), told AS MATERIALIZED (
    -- Each ending beside its request, and the requests that nothing ends here. One from before the
    -- range is looked up by its id.
    SELECT account_id, generation_id, topic, end_position, reason, images,
           position IS NOT NULL AS is_asked_here,
           coalesce(position, (earlier).position) AS position,
           coalesce(title, (earlier).data #>> '{{prompt,title}}') AS title
    FROM (
        SELECT coalesce(ending.account_id, request.account_id) AS account_id, generation_id,
               ending.topic, ending.position AS end_position, ending.word AS reason, images,
               request.position, request.word AS title,
               CASE WHEN request.position IS NULL THEN (
                   SELECT asked FROM ledger_facts AS asked WHERE asked.fact_id = generation_id)
               END AS earlier
        FROM (SELECT * FROM fact
              WHERE topic IN ('tokens_consumed:1', 'generation_failed:1')) AS ending
        FULL JOIN (SELECT position, account_id, generation_id, word FROM fact
                   WHERE topic = 'generation_requested:1') AS request USING (generation_id)
        OFFSET 0
    ) AS paired
)
