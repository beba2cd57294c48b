-- Charged images in the order that the charge names them; the prompt is as it was asked with.
-- The range is read once: its requests are there for the prompts of what they lead to.
WITH fact AS MATERIALIZED (
    SELECT position, account_id, topic, at,
           CASE topic WHEN 'generation_requested:1' THEN data -> 'prompt' ELSE data -> 'images' END
               AS part,
           CASE topic
               WHEN 'generation_requested:1' THEN fact_id
               ELSE (data ->> 'generation_id')::uuid
           END AS generation_id
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s
        AND topic IN ('generation_requested:1', 'tokens_consumed:1')
), charge AS MATERIALIZED (
    SELECT charged.position, charged.account_id, charged.at, charged.generation_id,
           charged.part AS images,
           -- Asked for before the range: one look-up by the request's id each.
           coalesce(asked.part,
                    (SELECT request.data -> 'prompt' FROM ledger_facts AS request
                     WHERE request.fact_id = charged.generation_id)) AS prompt
    FROM fact AS charged
    LEFT JOIN fact AS asked
        ON asked.generation_id = charged.generation_id AND asked.topic = 'generation_requested:1'
    WHERE charged.topic = 'tokens_consumed:1'
)
INSERT INTO {table}
    (id, generation_id, account_id, position, ordinal, prompt_id, title, key, thumbnail_key,
     sha256, mime_type, width, height, bytes, model, created_at)
SELECT (image ->> 'id')::uuid, generation_id, account_id, position, ordinal,
       prompt ->> 'id', prompt ->> 'title', image ->> 'key', image ->> 'thumbnail_key',
       image ->> 'sha256', image ->> 'mime_type', (image ->> 'width')::integer,
       (image ->> 'height')::integer, (image ->> 'bytes')::bigint, image ->> 'model', at
FROM charge
CROSS JOIN LATERAL jsonb_array_elements(images) WITH ORDINALITY AS listed (image, ordinal);
