/// The kernel gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("cannot get random bytes from the kernel: {0}")]
pub(crate) struct RandomError(getrandom::Error);

/// Returns random bytes from the kernel.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bits = [0; N];
    getrandom::fill(&mut bits).map_err(RandomError)?;
    Ok(bits)
}
