-- Charged images in the order that the charge names them; the prompt is as it was asked with.
images AS (
    INSERT INTO {images}
        (id, generation_id, account_id, position, ordinal, prompt_id, title, key, thumbnail_key,
         sha256, mime_type, width, height, bytes, model, created_at)
    SELECT (image ->> 'id')::uuid, generation_id, account_id, position, ordinal,
           asked #>> '{{prompt,id}}', asked #>> '{{prompt,title}}', image ->> 'key',
           image ->> 'thumbnail_key', image ->> 'sha256', image ->> 'mime_type',
           (image ->> 'width')::integer, (image ->> 'height')::integer,
           (image ->> 'bytes')::bigint, image ->> 'model', at
    FROM told
    CROSS JOIN LATERAL jsonb_array_elements(data -> 'images')
        WITH ORDINALITY AS listed (image, ordinal)
    WHERE topic = 'tokens_consumed:1'
)
