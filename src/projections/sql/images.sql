-- Charged images in the order that the charge names them; the prompt is as it was asked with.
WITH charge AS MATERIALIZED (
    SELECT account_id, position, at, data -> 'images' AS images,
           (data ->> 'generation_id')::uuid AS generation_id,
           (SELECT request.data -> 'prompt' FROM ledger_facts AS request
            WHERE request.fact_id = (fact.data ->> 'generation_id')::uuid) AS prompt
    FROM ledger_facts AS fact
    WHERE position > %(after)s AND position <= %(upto)s AND type = 'tokens_consumed'
)
INSERT INTO {table}
    (id, generation_id, account_id, position, ordinal, prompt_id, title, key, thumbnail_key,
     sha256, mime_type, width, height, bytes, model, created_at)
SELECT image.id, charge.generation_id, charge.account_id, charge.position, image.ordinal,
       charge.prompt ->> 'id', charge.prompt ->> 'title', image.key, image.thumbnail_key,
       image.sha256, image.mime_type, image.width, image.height, image.bytes, image.model,
       charge.at
FROM charge
CROSS JOIN LATERAL ROWS FROM (
    jsonb_to_recordset(charge.images) AS (
        id uuid, key text, thumbnail_key text, sha256 text, mime_type text, width integer,
        height integer, bytes bigint, model text)
) WITH ORDINALITY AS image (
    id, key, thumbnail_key, sha256, mime_type, width, height, bytes, model, ordinal);
