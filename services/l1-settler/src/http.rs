//! What reading over HTTP has in common, whatever is read.

use alloy::transports::http::reqwest;

/// The address of what is below `base`, which can be a base.
pub(crate) fn below<'a>(
    base: &reqwest::Url,
    segments: impl IntoIterator<Item = &'a str>,
) -> reqwest::Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The whole body of an answer; none when it has more than `limit` bytes, which are not read.
pub(crate) async fn body(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}
