-- Charged images in the order that the charge names them; the title is as it was asked with.
images AS (
    INSERT INTO {images} (id, account_id, position, ordinal, title)
    SELECT image::uuid, account_id, end_position, ordinal, title
    FROM told
    CROSS JOIN LATERAL jsonb_array_elements_text(images) WITH ORDINALITY AS listed (image, ordinal)
    WHERE topic = 'tokens_consumed:1'
)
