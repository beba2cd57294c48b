-- Charged images in the order that the charge names them; the prompt is as it was asked with.
WITH asked AS MATERIALIZED (
    SELECT fact_id AS generation_id, data -> 'prompt' AS prompt
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s AND topic = 'generation_requested:1'
), charged AS MATERIALIZED (
    SELECT account_id, position, at, data -> 'images' AS images,
           (data ->> 'generation_id')::uuid AS generation_id
    FROM ledger_facts
    WHERE position > %(after)s AND position <= %(upto)s AND topic = 'tokens_consumed:1'
), charge AS MATERIALIZED (
    SELECT account_id, position, at, images, generation_id,
           -- Asked for before the range: one look-up by the request's id each.
           coalesce(asked.prompt,
                    (SELECT request.data -> 'prompt' FROM ledger_facts AS request
                     WHERE request.fact_id = charged.generation_id)) AS prompt
    FROM charged LEFT JOIN asked USING (generation_id)
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
