import { escapeText } from './escape-text.ts';

/**
 * Foreign text for one cell of a Markdown table: neither the table nor the text around it can be changed, no link,
 * image, HTML or emphasis comes of it, and no user is mentioned. What matters only at the start of a line stays readable.
 */
export function escapeMarkdown(text: string): string {
  return escapeText(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[\\`*_[\]|~$]/g, String.raw`\$&`)
    .replaceAll('@', '&#64;')
    .replaceAll('://', '&#58;//')
    .replaceAll(/www\./gi, (match) => `${match.slice(0, 3)}&#46;`);
}
